// Shows the API's document with Swagger UI, which is to send it to nobody for validation.
SwaggerUIBundle({
  url: "/v1/openapi.json",
  dom_id: "#operations",
  deepLinking: true,
  validatorUrl: null,
});
