import { useEffect, useRef } from "preact/hooks";
import { KEYS } from "../keys";
import { help } from "../state/chosen";
import { Reading } from "./HowToRead";
import { CloseIcon } from "./icons";

/** A native dialog: it holds the focus, and gives it back when it closes. */
export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = help.value;
  useEffect(() => {
    if (open && !dialog.current?.open) dialog.current?.showModal();
    if (!open) dialog.current?.close();
  }, [open]);
  const close = (): void => {
    help.value = false;
  };
  return (
    <dialog
      ref={dialog}
      class="help"
      aria-label="How to read, and keys"
      onClose={close}
      onClick={(event) => event.target === dialog.current && close()}
    >
      <div>
        <h1>
          How to read
          <button type="button" class="icon" aria-label="Close" onClick={close}>
            <CloseIcon />
          </button>
        </h1>
        <Reading />
        <h1>Keys</h1>
        <table>
          <tbody>
            {KEYS.map(([keys, does]) => (
              <tr key={does}>
                <td>{keys.map((key) => (key === "–" ? " – " : <kbd key={key}>{key}</kbd>))}</td>
                <td>{does}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </dialog>
  );
}
