// The URL is relative, so that the page also works behind a path prefix.
SwaggerUIBundle({
  dom_id: "#docs",
  url: "openapi.json",
  deepLinking: true,
  docExpansion: "list",
  validatorUrl: null,
  syntaxHighlight: { activated: false },
});
