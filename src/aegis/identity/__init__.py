"""Who people are and what they may do: roles, permissions, passwords, credentials. Values in, values out."""
