// Line icons of 24×24 units. Each icon needs a text next to it or a label, because screen readers skip icons.

const PATHS = {
  wall: "M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z",
  camera:
    "M4 8a2 2 0 0 1 2-2h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2zM16 11l4-2.500v7L16 13",
  search: "M10.500 4a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13M15.500 15.500 20 20",
  pulse: "M3 12h4l2.500-6 4 12 2.500-6H21",
  play: "M8 5.500v13l10-6.500z",
  stop: "M7 7h10v10H7z",
  sound: "M4 10v4h3l4 3.500v-11L7 10zM14.500 9.500a3.500 3.500 0 0 1 0 5M17 7a7 7 0 0 1 0 10",
  muted: "M4 10v4h3l4 3.500v-11L7 10zM15 10l5 4.500M20 10l-5 4.500",
  photo:
    "M5 8h2.500L9 6h6l1.500 2H19a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V9a1 1 0 0 1 1-1M12 10.200a2.800 2.800 0 1 0 0 5.600 2.800 2.800 0 0 0 0-5.600",
  full: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  enlarge: "M13 5h6v6M19 5l-7 7M11 19H5v-6M5 19l7-7",
  more: "M5.500 11.500h1v1h-1zM11.500 11.500h1v1h-1zM17.500 11.500h1v1h-1z",
  back: "M11 6l-6 6 6 6M5 12h14",
  next: "M9 6l6 6-6 6",
  previous: "M15 6l-6 6 6 6",
  up: "M6 15l6-6 6 6",
  down: "M6 9l6 6 6-6",
  close: "M6 6l12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  edit: "M5 19l1-4L16 5l3 3L9 18zM13.500 7.500l3 3",
  trash: "M5 7h14M9 7V5h6v2M7 7l1 12h8l1-12",
  copy: "M9 9h10v10H9zM5 15V5h10",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  download: "M12 4v11M7 10.500l5 5 5-5M5 20h14",
  upload: "M12 16V5M7 9.500l5-5 5 5M5 20h14",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M5.300 18.700l1.400-1.400M17.300 6.700l1.400-1.400",
  moon: "M19.500 14.500A8 8 0 0 1 9.500 4.500a8 8 0 1 0 10 10z",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  leave: "M14 5H6v14h8M11 12h9M16.500 8.500 20 12l-3.500 3.500",
  check: "M5 12.500l4.500 4.500L19 7.500",
  bell: "M6 16V11a6 6 0 0 1 12 0v5l1.500 2h-15zM10 20.500h4",
  ringing:
    "M7 16v-4.500a5 5 0 0 1 10 0V16l1.500 2h-13zM10.500 20.500h3M3.500 10a8 8 0 0 1 2.500-5M20.500 10A8 8 0 0 0 18 5",
  alert: "M12 4 2.800 19.500h18.400zM12 10v4.500M12 17h.01",
  list: "M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01",
  dot: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10",
  pause: "M8.500 6v12M15.500 6v12",
  offline:
    "M4 4l16 16M5 12.500a10 10 0 0 1 4-2.300M19 12.500a10 10 0 0 0-4.500-2.400M8.500 16a5 5 0 0 1 7 0M12 19h.01",
  first: "M6 6v12M18 6l-6 6 6 6",
  last: "M18 6v12M6 6l6 6-6 6",
  refresh: "M19 8a8 8 0 1 0 1 6M20 4v5h-5",
  history: "M5 8a8 8 0 1 1-1 6M4 4v5h5M12 8v4.500l3 2",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
  span: "M5 5v14M19 5v14M5 12h14M8 9l-3 3 3 3M16 9l3 3-3 3",
  earlier: "M5 8a8 8 0 1 1-1 6M4 4v5h5",
  later: "M19 8a8 8 0 1 0 1 6M20 4v5h-5",
  frame_back: "M15 6l-6 6 6 6M18 6v12",
  frame_on: "M9 6l6 6-6 6M6 6v12",
  minus: "M5 12h14",
  help: "M12 3.500a8.500 8.500 0 1 0 0 17 8.500 8.500 0 0 0 0-17M9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.7.3-1 .8-1 1.700M12 16.500h.01",
  record: "M12 5a7 7 0 1 0 0 14 7 7 0 0 0 0-14M12 10a2 2 0 1 0 0 4 2 2 0 0 0 0-4",
  motion:
    "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M12 8.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7",
  disk: "M4 6c0-3 16-3 16 0v12c0 3-16 3-16 0zM4 6c0 3 16 3 16 0M4 12c0 3 16 3 16 0",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

interface IconButtonProps {
  icon: IconName;
  label: string;
  onClick: (event: MouseEvent) => void;
  class?: string;
  disabled?: boolean;
  pressed?: boolean;
}

/**
 * A button that shows only an icon. Screen readers announce the label, and the browser shows it on hover.
 */
export function IconButton({
  icon,
  label,
  onClick,
  class: name = "",
  disabled,
  pressed,
}: IconButtonProps) {
  return (
    <button
      type="button"
      class={`icon-button ${name}`}
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}
