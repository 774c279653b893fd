"""The OpenAPI document, and the declarations that it is generated from."""
