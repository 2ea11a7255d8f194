// A queue of operations on a SourceBuffer, which can do only one at a time.

/** More bytes than this are not queued. A SourceBuffer that takes nothing for so long is broken. */
const MAX_BYTES = 64 * 1024 * 1024;

export class BufferQueue {
  private readonly waiting: (ArrayBuffer | (() => void))[] = [];
  private bytes = 0;

  /** `onDone` is called after each operation, and `onError` if the buffer is broken. */
  constructor(
    private readonly buffer: SourceBuffer,
    onDone: () => void,
    private readonly onError: (isFull: boolean) => void,
    signal: AbortSignal,
  ) {
    buffer.addEventListener(
      "updateend",
      () => {
        onDone();
        this.run();
      },
      { signal },
    );
    buffer.addEventListener("error", () => onError(false), { signal });
  }

  get isIdle(): boolean {
    return this.waiting.length === 0 && !this.buffer.updating;
  }

  append(data: ArrayBuffer): void {
    this.bytes += data.byteLength;
    if (this.bytes > MAX_BYTES) {
      this.onError(true);
      return;
    }
    this.waiting.push(data);
    this.run();
  }

  /** Runs a function when all earlier operations are done. The function may change or remove. */
  afterwards(operation: () => void): void {
    this.waiting.push(operation);
    this.run();
  }

  private run(): void {
    try {
      while (this.waiting.length > 0 && !this.buffer.updating) {
        const next = this.waiting[0];
        if (next instanceof ArrayBuffer) {
          this.appendWaiting();
        } else {
          this.waiting.shift();
          next?.();
        }
      }
    } catch (error) {
      this.onError(error instanceof DOMException && error.name === "QuotaExceededError");
    }
  }

  /** Appends all data before the next operation at once. */
  private appendWaiting(): void {
    const end = this.waiting.findIndex((each) => !(each instanceof ArrayBuffer));
    const data = this.waiting.splice(0, end < 0 ? this.waiting.length : end) as ArrayBuffer[];
    const size = data.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.bytes -= size;
    if (data.length === 1 && data[0]) {
      this.buffer.appendBuffer(data[0]);
      return;
    }
    const joined = new Uint8Array(size);
    let at = 0;
    for (const each of data) {
      joined.set(new Uint8Array(each), at);
      at += each.byteLength;
    }
    this.buffer.appendBuffer(joined);
  }
}
