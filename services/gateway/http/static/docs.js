// Starts Swagger UI on this gateway's OpenAPI document; asks nobody else.
"use strict";

const STREAM_MS = 3000;

// A stream does not end, and Swagger UI shows an answer that has: show what comes in its first seconds.
async function fetchBeginning(address, request) {
  const leaving = new AbortController();
  const answer = await fetch(address, { ...request, signal: leaving.signal });
  if (!answer.headers.get("content-type")?.startsWith("text/event-stream")) return answer;
  setTimeout(() => leaving.abort(), STREAM_MS);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
  return new Response(text, { status: answer.status, headers: answer.headers });
}

// `#/tag/operation` is Swagger UI's to follow; `#slug`, the `type` of a problem, is the page's own.
const followsProblem = /^#[^/]/.test(location.hash);

SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: new URL("openapi.json", location.href).href,
  validatorUrl: null,
  deepLinking: !followsProblem,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  requestInterceptor: (request) => Object.assign(request, { userFetch: fetchBeginning }),
});
