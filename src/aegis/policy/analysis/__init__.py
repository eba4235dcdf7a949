"""What policies mean before and beside deciding: findings, differences, and the least that would change an answer."""
