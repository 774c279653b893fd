// Relative, so that it works behind a path prefix too.
SwaggerUIBundle({
  dom_id: "#docs",
  url: "openapi.json",
  deepLinking: true,
  docExpansion: "list",
  validatorUrl: null,
  syntaxHighlight: { activated: false },
});
