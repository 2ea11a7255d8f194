// The form to sign in, which is shown if the service requires an API key, or has rejected the key.
import { useState } from "preact/hooks";

import { signIn } from "../api/caller";
import { t } from "../ui/i18n";
import { ErrorAlert } from "./error";

export function SignIn({ error }: { error: unknown }) {
  const [key, setKey] = useState("");
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    await signIn(key.trim());
    setBusy(false);
  };
  return (
    <form class="card signin" onSubmit={submit}>
      <h1>{t("signin.title")}</h1>
      <p>{t("signin.text")}</p>
      <ErrorAlert error={error} />
      <label class="field">
        {t("signin.key")}
        <input
          type="password"
          name="key"
          required
          autoComplete="current-password"
          value={key}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
      </label>
      <div class="actions">
        <button type="submit" class="primary" disabled={isBusy}>
          {t("signin.do")}
        </button>
      </div>
    </form>
  );
}
