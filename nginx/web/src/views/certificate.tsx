// Shows the fingerprint of a camera's certificate, with a button to trust the certificate.
import { isKey, t } from "../ui/i18n";

interface CertificateQuestionProps {
  /** The code of the error: `onvif_certificate_unknown` or `onvif_certificate_changed`. */
  code: string;
  /** The SHA-256 fingerprint of the certificate that was not accepted. */
  fingerprint: string;
  isBusy: boolean;
  onConfirm: () => void;
}

export function CertificateQuestion({
  code,
  fingerprint,
  isBusy,
  onConfirm,
}: CertificateQuestionProps) {
  const key = `error.${code}`;
  return (
    <div class="why" role="alert">
      <p>
        {isKey(key) && t(key)} {t("certificate.compare")}
      </p>
      <p>{fingerprint}</p>
      <button type="button" disabled={isBusy} onClick={onConfirm}>
        {t("certificate.trust")}
      </button>
    </div>
  );
}
