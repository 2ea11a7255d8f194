// The text of an error.

/** The explanation of an error. */
export interface Failure {
  /** The explanation in the user's language. */
  text: string;
  /**
   * A more exact description in English; null if there is no description, or if the text contains all of its
   * words.
   */
  detail: string | null;
}

/** The text, followed by the detail in small print. */
export function FailureText({ failure: { text, detail } }: { failure: Failure }) {
  return (
    <>
      {text}
      {detail && (
        <small class="detail" lang="en" dir="auto">
          {detail}
        </small>
      )}
    </>
  );
}
