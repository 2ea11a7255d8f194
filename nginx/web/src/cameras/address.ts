// Where a camera is edited from the wall, which is gone back to afterwards.

export function editAddress(id: string): string {
  return `#/cameras?edit=${encodeURIComponent(id)}&from=wall`;
}
