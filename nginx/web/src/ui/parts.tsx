// Dialogs, alerts and other components that several views use.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";

import { number, t } from "./i18n";
import { Icon, IconButton, type IconName } from "./icons";
import { notice } from "./notice";

interface DialogProps {
  title: string;
  /** Whether closing the dialog would lose what the user has entered. If so, the user must confirm this. */
  isChanged?: boolean;
  onClose: () => void;
  children: ComponentChildren;
  class?: string;
}

/**
 * A modal dialog. The browser keeps the focus inside the dialog, and Esc closes it. Everything outside is
 * inert, so the dialog repeats the current notice for screen readers.
 */
export function Dialog({
  title,
  isChanged = false,
  onClose,
  children,
  class: name = "",
}: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const [isAsking, setAsking] = useState(false);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) {
        before.focus();
      }
    };
  }, []);
  const close = () => (isChanged ? setAsking(true) : onClose());
  const onCancel = (event: Event) => {
    event.preventDefault();
    close();
  };
  // If Esc is pressed twice, browsers close a dialog although its cancel event was prevented.
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      onCancel(event);
    }
  };
  // The dialog element is the target of a press outside the dialog, and also of a press on the dialog's edge or
  // scroll bar. Only a press outside closes the dialog.
  const onPress = (event: MouseEvent) => {
    const { clientX: x, clientY: y } = event;
    const box = ref.current?.getBoundingClientRect();
    const isInside = box && x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
    if (event.target === ref.current && !isInside) {
      close();
    }
  };
  return (
    <dialog
      ref={ref}
      class={`dialog ${name}`}
      aria-labelledby={id}
      onCancel={onCancel}
      onKeyDown={onKey}
      onMouseDown={onPress}
    >
      <div class="dialog-box">
        <header class="dialog-head">
          <h2 id={id} class="name" title={title}>
            {title}
          </h2>
          <IconButton icon="close" label={t("close")} onClick={close} />
        </header>
        {children}
        <p class="unseen" role="status">
          {notice.value?.text}
        </p>
      </div>
      {isAsking && (
        <Confirm
          title={t("discard.title")}
          text={t("discard.text")}
          action={t("discard.do")}
          keep={t("discard.keep")}
          onConfirm={onClose}
          onClose={() => setAsking(false)}
        />
      )}
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  text: string;
  action: string;
  /** The text of the button that closes the dialog without the action. */
  keep?: string;
  onConfirm: () => void;
  onClose: () => void;
}

/** A dialog that asks the user to confirm an action. */
export function Confirm({ title, text, action, keep, onConfirm, onClose }: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onClose} class="narrow">
      <p>{text}</p>
      <div class="actions">
        <button type="button" onClick={onClose}>
          {keep ?? t("cancel")}
        </button>
        <button type="button" class="danger" onClick={onConfirm}>
          {action}
        </button>
      </div>
    </Dialog>
  );
}

/** A box with an error, which screen readers announce at once. */
export function Alert({ children }: { children: ComponentChildren }) {
  return (
    <div class="alert" role="alert">
      <Icon name="alert" />
      <div>{children}</div>
    </div>
  );
}

/** An icon, a title and a text, which a view shows when it has no content. */
export function Empty({
  icon,
  title,
  children,
}: {
  icon: IconName;
  title: string;
  children?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <Icon name={icon} />
      <h2>{title}</h2>
      {children}
    </div>
  );
}

interface PagerProps {
  page: number;
  pages: number;
  onPage: (page: number) => void;
}

/** If there are more pages than this, the pager has a field for the number of a page. */
const FEW_PAGES = 5;

/**
 * Buttons for the previous and the next page; with many pages also buttons for the first and the last page, and a
 * field for the number of a page. `page` is counted from 0. Shows nothing if there are fewer than two pages.
 */
export function Pager({ page, pages, onPage }: PagerProps) {
  if (pages < 2) {
    return null;
  }
  const hasMany = pages > FEW_PAGES;
  return (
    <nav class="pager" aria-label={t("pages")}>
      {hasMany && (
        <IconButton
          icon="first"
          label={t("page.first")}
          disabled={page === 0}
          onClick={() => onPage(0)}
        />
      )}
      <IconButton
        icon="previous"
        label={t("page.previous")}
        disabled={page === 0}
        onClick={() => onPage(page - 1)}
      />
      {hasMany ? (
        <span class="pager-field">
          <PageField page={page} pages={pages} onPage={onPage} />
          <span>{t("page.of_many", { pages: number(pages) })}</span>
        </span>
      ) : (
        <span>{t("page.of", { page: page + 1, pages })}</span>
      )}
      <IconButton
        icon="next"
        label={t("page.next")}
        disabled={page >= pages - 1}
        onClick={() => onPage(page + 1)}
      />
      {hasMany && (
        <IconButton
          icon="last"
          label={t("page.last")}
          disabled={page >= pages - 1}
          onClick={() => onPage(pages - 1)}
        />
      )}
    </nav>
  );
}

/** A field for the number of a page. A number outside of the range selects the nearest page. */
function PageField({ page, pages, onPage }: PagerProps) {
  const onChange = (event: Event & { currentTarget: HTMLInputElement }) => {
    const input = event.currentTarget;
    const chosen = Math.trunc(input.valueAsNumber) || page + 1;
    const next = Math.min(pages, Math.max(1, chosen));
    input.value = String(next);
    onPage(next - 1);
  };
  return (
    <input
      type="number"
      aria-label={t("page.number")}
      min={1}
      max={pages}
      value={page + 1}
      onChange={onChange}
    />
  );
}
