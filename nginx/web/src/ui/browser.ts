// Access to the clipboard, downloads and full screen of the browser.

/** Copies text to the clipboard. Returns whether the copy succeeded. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without TLS, browsers provide the clipboard API for localhost only.
    const area = document.createElement("textarea");
    area.value = text;
    // Everything outside an open modal dialog is inert, so the text must be inside the dialog.
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    return isDone;
  }
}

/** Shows an element in full screen, if the browser permits it. */
export function fillScreen(element: HTMLElement): void {
  element.requestFullscreen().catch(() => {
    // The browser has refused. The element keeps its size.
  });
}

/** Downloads the content as a file. */
export function saveFile(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Returns the local time in a form for file names, such as 2026-11-21_10-30-00. */
export function timeForFile(now = new Date()): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join("-");
  return `${day}_${time}`;
}
