// Requests to the API.

/** Sends a POST request with a JSON body. Returns the JSON of the response. Throws if the request fails. */
export async function post(url, body, headers = {}) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  if (!response.ok) {
    throw new Error(`POST ${url} ${JSON.stringify(body)} failed: ${await response.text()}`);
  }
  return response.json();
}
