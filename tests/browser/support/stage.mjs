// What most files of tests have in common: one service and one browser, for all of their tests.
import { after, before } from "node:test";

import { Service } from "./service.mjs";
import { allOf } from "./until.mjs";
import { launchBrowser, Viewer } from "./viewer.mjs";

/** To be called within `describe`: the service and the browser are there in its tests and later hooks. */
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

  /** Somebody at an address of the page, such as `#/status`, until the test ends. */
  visit(t, address = "", options = {}) {
    return Viewer.openFor(t, this.browser, new URL(address, this.service.origin).href, options);
  }

  /** Puts the demo camera into the registry under another id too: a stream of its own. */
  async putCopy(id, camera = {}, key) {
    await this.service.put(id, { rtsp_link: this.service.demoLink, ...camera }, key);
  }
}
