// The storages of the browser. If the page is in a frame of another site, browsers can deny access to these storages.
// The page then keeps its data in memory, until it is loaded again.

type PageStorage = Pick<Storage, "getItem" | "setItem" | "removeItem" | "clear">;

/** A storage in memory. */
function memory(): PageStorage {
  const values = new Map<string, string>();
  return {
    getItem: (name) => values.get(name) ?? null,
    setItem: (name, value) => void values.set(name, value),
    removeItem: (name) => void values.delete(name),
    clear: () => values.clear(),
  };
}

function storageOf(name: "localStorage" | "sessionStorage"): PageStorage {
  try {
    return globalThis[name];
  } catch {
    return memory();
  }
}

/** Data that survives the tab, such as the language. */
export const userStorage = storageOf("localStorage");
/** Data that survives a reload of the tab, such as the API key. */
export const tabStorage = storageOf("sessionStorage");
