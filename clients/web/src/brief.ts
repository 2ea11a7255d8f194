// Limits the pause before the next attempt after errors that are usually brief.

/** Errors that often last only for seconds. The page of the service learns from the list of streams when they end. */
const BRIEF = ["stream_ended", "shutting_down", "manager_unavailable", "unreachable"];
/** The longest pause in milliseconds; a random part is added, so that the elements of a wall spread. */
const PAUSE_MS = 5000;

export class BriefErrors {
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly retry: () => void) {}

  /** Records the code of the present error; undefined without one. */
  note(code: string | undefined): void {
    clearTimeout(this.timer);
    if (code !== undefined && BRIEF.includes(code)) {
      this.timer = setTimeout(this.retry, PAUSE_MS * (1 + Math.random() / 5));
    }
  }
}
