"""The scripted tour behind `aegis demo`: four chapters told from what the API, the cluster and the record say."""
