// Dialogs, alerts and other components that several views use.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

import { t } from "./i18n";
import { Icon, IconButton, type IconName } from "./icons";
import { notice } from "./notice";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  class?: string;
}

/**
 * A modal dialog. The browser keeps the focus inside the dialog, and Esc closes it. Everything outside is
 * inert, so the dialog repeats the current notice for screen readers.
 */
export function Dialog({ title, onClose, children, class: name = "" }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
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
  const onCancel = (event: Event) => {
    event.preventDefault();
    onClose();
  };
  // A press outside the dialog has the dialog element as its target. So does a press on the dialog's edge
  // or scroll bar, which must not close the dialog.
  const onPress = (event: MouseEvent) => {
    const { clientX: x, clientY: y } = event;
    const box = ref.current?.getBoundingClientRect();
    const isInside = box && x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
    if (event.target === ref.current && !isInside) {
      onClose();
    }
  };
  return (
    <dialog
      ref={ref}
      class={`dialog ${name}`}
      aria-labelledby={id}
      onCancel={onCancel}
      onMouseDown={onPress}
    >
      <div class="dialog-box">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          <IconButton icon="close" label={t("close")} onClick={onClose} />
        </header>
        {children}
        <p class="unseen" role="status">
          {notice.value?.text}
        </p>
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  text: string;
  action: string;
  onConfirm: () => void;
  onClose: () => void;
}

/** A dialog that asks the user to confirm an action. */
export function Confirm({ title, text, action, onConfirm, onClose }: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onClose} class="narrow">
      <p>{text}</p>
      <div class="actions">
        <button type="button" onClick={onClose}>
          {t("cancel")}
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

/**
 * Buttons for the previous and the next page. `page` is counted from 0. Shows nothing if there are fewer than
 * two pages.
 */
export function Pager({ page, pages, onPage }: PagerProps) {
  if (pages < 2) {
    return null;
  }
  return (
    <nav class="pager" aria-label={t("pages")}>
      <IconButton
        icon="previous"
        label={t("page.previous")}
        disabled={page === 0}
        onClick={() => onPage(page - 1)}
      />
      <span>{t("page.of", { page: page + 1, pages })}</span>
      <IconButton
        icon="next"
        label={t("page.next")}
        disabled={page >= pages - 1}
        onClick={() => onPage(page + 1)}
      />
    </nav>
  );
}
