"""The process that people and integrations talk to: HTTP, identity, live events and the web page."""
