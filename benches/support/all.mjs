// Much to do, a few things at once.

const AT_ONCE = 8;

/** Does `work` for each item. */
export async function forAll(items, work, atOnce = AT_ONCE) {
  const rest = [...items];
  const one = async () => {
    while (rest.length > 0) {
      await work(rest.shift());
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
}
