// Starts one service and one browser for all tests of a `describe` block.
import { after, before } from "node:test";

import { Service } from "./service.mjs";
import { allOf } from "./until.mjs";
import { launchBrowser, Viewer } from "./viewer.mjs";

/**
 * Returns a stage whose service and browser are started before the tests of the current `describe` block, and
 * stopped after them. `args` are arguments of `deploy/run`.
 */
export function stage(settings = {}, args = []) {
  const created = new Stage();
  before(async () => {
    await allOf(
      Service.start(settings, args).then((service) => (created.service = service)),
      launchBrowser().then((browser) => (created.browser = browser)),
    );
  });
  after(async () => {
    await created.browser?.close();
    await created.service?.end();
  });
  return created;
}

/** The service and the browser that the tests of a `describe` block share. */
class Stage {
  service;
  browser;

  /** Opens the page at an address, such as `#/status`, and closes the page at the end of the test. */
  visit(t, address = "", options = {}) {
    return Viewer.openFor(t, this.browser, new URL(address, this.service.origin).href, options);
  }

  /** Adds a camera that plays the demo camera's video. Its stream is separate, because its id is different. */
  async putCopy(id, camera = {}, key) {
    await this.service.put(id, { rtsp_link: this.service.demoLink, ...camera }, key);
  }
}
