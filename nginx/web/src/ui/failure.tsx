// The text of a failure.

export interface Failure {
  /** In the user's language. */
  text: string;
  /** The service's own text, which is more exact and not translated; null if there is none. */
  detail: string | null;
}

/** The text, and the detail as small print. */
export function FailureText({ failure: { text, detail } }: { failure: Failure }) {
  return (
    <>
      {text}
      {detail && <small class="detail">{detail}</small>}
    </>
  );
}
