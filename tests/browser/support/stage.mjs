// One service and one browser for all tests of a file.
import { after, before } from "node:test";

import { Service } from "./service.mjs";
import { allOf } from "./until.mjs";
import { launchBrowser, Viewer } from "./viewer.mjs";

/** Starts both before the tests of a `describe`, and ends them afterwards. */
export function stage(settings = {}) {
  const made = new Stage();
  before(async () => {
    await allOf(
      Service.start(settings).then((service) => (made.service = service)),
      launchBrowser().then((browser) => (made.browser = browser)),
    );
  });
  after(async () => {
    await made.browser?.close();
    await made.service?.end();
  });
  return made;
}

class Stage {
  service;
  browser;

  /** Opens an address of the page, such as `#/status`, until the test ends. */
  visit(t, address = "", options = {}) {
    return Viewer.openFor(t, this.browser, new URL(address, this.service.origin).href, options);
  }

  /** Adds the demo camera under another id, which gives it another stream. */
  async putCopy(id, camera = {}, key) {
    await this.service.put(id, { rtsp_link: this.service.demoLink, ...camera }, key);
  }
}
