// Components that show errors.
import { failureOf } from "../api/explanation";
import { FailureText } from "../ui/failure";
import { notifyFailure } from "../ui/notice";
import { Alert } from "../ui/parts";

/** The explanation of an error. */
export function ErrorText({ error }: { error: unknown }) {
  return <FailureText failure={failureOf(error)} />;
}

/** An alert with the error; nothing if the error is null. */
export function ErrorAlert({ error }: { error: unknown }) {
  return error === null ? null : (
    <Alert>
      <ErrorText error={error} />
    </Alert>
  );
}

/** Shows an error as a notice. */
export function report(error: unknown): void {
  notifyFailure(failureOf(error));
}
