// Write calls.ts, which calls every operation of a document with openapi-fetch, so that tsc checks
// the examples of the document against the types that openapi-typescript has generated.
// Usage: node calls.mjs DOCUMENT > calls.ts; node calls.js DOCUMENT URL KEY
import { readFileSync } from "node:fs";

const { paths } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const PARSE_AS = { "application/octet-stream": "arrayBuffer", "application/json": "json" };

console.log(`import createClient from "openapi-fetch";
import type { paths } from "./schema.js";
const [url, key] = process.argv.slice(3);
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: \`Bearer \${key}\` } });
type Answer = { data?: unknown; error?: unknown; response: Response };
async function check(name: string, call: () => Promise<Answer>): Promise<void> {
  console.log(name);
  const { data, error, response } = await call();
  const empty = !data || (data instanceof ArrayBuffer && !data.byteLength);
  if (!response.ok || empty) throw new Error(\`\${name}: \${response.status} \${JSON.stringify(error)}\`);
}`);
for (const [path, methods] of Object.entries(paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const params = {};
    for (const { name, in: place, example } of operation.parameters) {
      if (example !== undefined) (params[place] ??= {})[name] = example;
    }
    const success = Object.entries(operation.responses).find(([status]) => status < "300")[1];
    const parseAs = PARSE_AS[Object.keys(success.content)[0]] ?? "text";
    const body = operation.requestBody?.content["application/json"].example;
    const options = JSON.stringify({ params, parseAs, body });
    const call = `client.${method.toUpperCase()}(${JSON.stringify(path)}, ${options})`;
    console.log(`await check(${JSON.stringify(operation.operationId)}, () => ${call});`);
  }
}
