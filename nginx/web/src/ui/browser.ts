// Features that browsers provide in different ways: the clipboard, files, full screen.

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without TLS, browsers provide the clipboard API on localhost only.
    const area = document.createElement("textarea");
    area.value = text;
    // A modal dialog makes everything outside it inert.
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    return isDone;
  }
}

/** Fills the screen with an element. */
export function fillScreen(element: HTMLElement): void {
  element.requestFullscreen().catch(() => {
    // The browser has refused; the element stays as it is.
  });
}

export function saveFile(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Returns the local time for file names: 2026-11-21_10-30-00. */
export function timeForFile(now = new Date()): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join("-");
  return `${day}_${time}`;
}
