// Parses server-sent events. The browser's EventSource cannot send an API key.

export interface Message {
  /** The type of the message; "message" by default. */
  type: string;
  data: string;
}

/** Parses the chunks of one response. */
export class EventStreamParser {
  /** The id of the last complete message; null if no message had an id. */
  lastId: string | null = null;
  #rest = "";
  #id: string | null = null;
  #type = "";
  #data: string[] = [];

  /** Returns the messages that are complete with this chunk of the response. */
  push(chunk: string): Message[] {
    const lines = (this.#rest + chunk).split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.#line(line));
  }

  #line(line: string): Message[] {
    if (line !== "") {
      this.#field(line);
      return [];
    }
    this.lastId = this.#id ?? this.lastId;
    const message = { type: this.#type || "message", data: this.#data.join("\n") };
    const hasData = this.#data.length > 0;
    this.#type = "";
    this.#data = [];
    return hasData ? [message] : [];
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "id") {
      this.#id = value;
    } else if (name === "event") {
      this.#type = value;
    } else if (name === "data") {
      this.#data.push(value);
    }
  }
}
