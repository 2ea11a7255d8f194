// Exports: what is known about a file before it is downloaded, and its digest.
import { useState } from "preact/hooks";

import { LONG_MS } from "../../api/client";
import { describeExport, type Span } from "../../api/recordings";
import { type Source, send, timeText, withPermission } from "../../playback/recordings/source";
import { copyText } from "../../ui/browser";
import { t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { report } from "../error";
import type { View } from "./scale";

export interface ExportHead {
  /** The address of the file. */
  address: string;
  fileName: string;
  bytes: number;
  /** The times that the file leaves out. */
  gaps: View[];
}

/** Requests the first byte of an export, so that an error can be shown instead of a file. */
export async function readExportHead(
  source: Source,
  stream: string,
  { from, to }: View,
): Promise<ExportHead> {
  const query = { from: timeText(from), to: timeText(to) };
  const { address, headers } = await withPermission(source, stream, () => {
    const current = source.addressOf(stream, "export.mp4", query);
    return send(current, { Range: "bytes=0-0" }, LONG_MS, (response) => ({
      address: current,
      headers: response.headers,
    }));
  });
  const [, size = "0"] = /\/(\d+)$/.exec(headers.get("Content-Range") ?? "") ?? [];
  const disposition = headers.get("Content-Disposition") ?? "";
  const [, fileName = `${stream}.mp4`] = /filename="?([^";]+)"?/.exec(disposition) ?? [];
  return { address, fileName, bytes: Number(size), gaps: gapsOf(headers.get("X-Gaps") ?? "") };
}

/** Parses the header `X-Gaps`. */
function gapsOf(text: string): View[] {
  return text
    .split(",")
    .map((gap) => gap.trim().split("/"))
    .flatMap(([from, to]) => (from && to ? [{ from: Date.parse(from), to: Date.parse(to) }] : []));
}

/** A button that requests the SHA-256 digest of an export, and the digest. */
export function Digest({ stream, span }: { stream: string; span: Span }) {
  const [digest, setDigest] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const request = async () => {
    setBusy(true);
    try {
      setDigest((await describeExport(stream, span)).sha256);
    } catch (error) {
      report(error);
    }
    setBusy(false);
  };
  if (digest === null) {
    return (
      <button type="button" disabled={isBusy} onClick={request}>
        {t(isBusy ? "recordings.digest_busy" : "recordings.digest")}
      </button>
    );
  }
  return (
    <p class="digest">
      SHA-256: <code>{digest}</code>
      <IconButton
        icon="copy"
        label={t("recordings.copy_digest")}
        onClick={() =>
          void copyText(digest).then((isDone) => notify(isDone ? t("copied") : digest, !isDone))
        }
      />
    </p>
  );
}
