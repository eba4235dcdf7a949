"""The engine: stateless inference and training jobs over HTTP. It knows no policy, no keys and no database."""
