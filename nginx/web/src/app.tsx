// Shows the current view, or why no view can be shown, in a frame with navigation, theme, language, and the name of
// the API key.
import { useEffect } from "preact/hooks";
import { access, caller, hasRight, hasRole, signOut } from "./api/caller";
import { endSession } from "./playback/permission";
import { chooseLanguage, LANGUAGES, type Language, t, textLanguage } from "./ui/i18n";
import { Icon, IconButton, type IconName } from "./ui/icons";
import { Loaded, lazy } from "./ui/lazy";
import { Notice } from "./ui/notice";
import { Empty } from "./ui/parts";
import { lastWall, place, type View } from "./ui/place";
import { chooseTheme, type Theme, theme } from "./ui/theme";
import { ErrorText } from "./views/error";
import { NotificationsButton, NotificationsDialog } from "./views/notifications/button";
import { SignIn } from "./views/sign-in";
import { Wall } from "./views/wall/wall";

const Cameras = lazy(() => import("./views/cameras/cameras").then((module) => module.Cameras));
const DiscoveryView = lazy(() =>
  import("./views/discovery/discovery").then((module) => module.DiscoveryView),
);
const Events = lazy(() => import("./views/events/events").then((module) => module.Events));
const Recordings = lazy(() =>
  import("./views/recordings/recordings").then((module) => module.Recordings),
);
const Shared = lazy(() => import("./views/recordings/shared").then((module) => module.Shared));
const Status = lazy(() => import("./views/status/status").then((module) => module.Status));

const THEMES: Record<Theme, { icon: IconName; next: Theme }> = {
  system: { icon: "system", next: "light" },
  light: { icon: "sun", next: "dark" },
  dark: { icon: "moon", next: "system" },
};

export function App() {
  const now = access.value;
  if (place.value.view === "shared") {
    // The link contains the permission.
    return (
      <Frame>
        <Loaded of={Shared} />
      </Frame>
    );
  }
  if (now.is === "signed-out") {
    return (
      <Frame>
        <SignIn error={now.error} />
      </Frame>
    );
  }
  if (now.is === "refused") {
    return (
      <Frame>
        <Empty icon="alert" title={t("problem.refused")}>
          <p>
            <ErrorText error={now.error} />
          </p>
        </Empty>
      </Frame>
    );
  }
  if (now.is === "retrying") {
    return (
      <Frame>
        <Empty icon="refresh" title={t(now.isBusy ? "problem.busy_title" : "problem.away_title")}>
          <p role="status">
            <ErrorText error={now.error} />
          </p>
          <p>{t("problem.trying")}</p>
        </Empty>
      </Frame>
    );
  }
  if (now.is === "loading") {
    return <Frame />;
  }
  return (
    <Frame hasNav>
      <Main view={place.value.view} />
    </Frame>
  );
}

function Main({ view }: { view: View }) {
  const title = t(`nav.${view}`);
  useEffect(() => {
    document.title = `${title} – stream-manager`;
  }, [title]);
  switch (view) {
    case "cameras":
      return <Loaded of={Cameras} />;
    case "discovery":
      return hasRole("user") ? <Loaded of={DiscoveryView} /> : <Wall />;
    case "events":
      return <Loaded of={Events} />;
    case "recordings":
      return <Loaded of={Recordings} />;
    case "status":
      return <Loaded of={Status} />;
    default:
      return <Wall />;
  }
}

function Frame({
  children,
  hasNav = false,
}: {
  children?: preact.ComponentChildren;
  hasNav?: boolean;
}) {
  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: it leads to a place on the page; see skip */}
      <a class="skip" href="#main" onClick={skip}>
        {t("skip")}
      </a>
      <header class="top">
        <a class="brand" href="#/">
          <Icon name="camera" />
          <span>stream-manager</span>
        </a>
        {hasNav ? <Nav /> : <span class="gap" />}
        <Settings />
      </header>
      <main id="main" tabIndex={-1}>
        {children}
        <NotificationsDialog />
      </main>
      <Notice />
    </>
  );
}

/**
 * Moves the focus to the content. The browser's own action would replace the part of the address after # with
 * `main`.
 */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Nav() {
  const views: [View, IconName, string, boolean][] = [
    ["wall", "wall", lastWall.value, true],
    ["cameras", "camera", "#/cameras", true],
    ["discovery", "search", "#/discovery", hasRole("user")],
    ["recordings", "history", "#/recordings", hasRight("recordings")],
    ["events", "bell", "#/events", true],
    ["status", "pulse", "#/status", true],
  ];
  return (
    <nav class="views" aria-label={t("nav.label")}>
      {views
        .filter(([, , , isOffered]) => isOffered)
        .map(([view, icon, href]) => (
          <a key={view} href={href} aria-current={place.value.view === view ? "page" : undefined}>
            <Icon name={icon} />
            <span>{t(`nav.${view}`)}</span>
          </a>
        ))}
    </nav>
  );
}

function Settings() {
  const { icon, next } = THEMES[theme.value];
  const name = caller.value?.name;
  return (
    <div class="settings">
      <NotificationsButton />
      <IconButton icon={icon} label={t(`theme.${theme.value}`)} onClick={() => chooseTheme(next)} />
      <select
        aria-label={t("language")}
        value={textLanguage.value}
        onChange={(event) => void chooseLanguage(event.currentTarget.value as Language)}
      >
        {Object.entries(LANGUAGES).map(([code, source]) => (
          <option key={code} value={code}>
            {source.name}
          </option>
        ))}
      </select>
      {name && (
        <span class="who" title={t(`role.${caller.value?.role ?? "viewer"}`)}>
          {name}
        </span>
      )}
      {name && (
        <IconButton
          icon="leave"
          label={t("signout")}
          onClick={() => void endSession().then(signOut)}
        />
      )}
    </div>
  );
}
