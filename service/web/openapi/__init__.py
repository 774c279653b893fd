"""The OpenAPI document and what it is generated from."""
