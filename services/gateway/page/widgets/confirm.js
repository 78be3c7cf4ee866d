// Changes: a dialog that asks before one is made, says why it was refused, and asks for the token where one is set.

import { forgetToken, hasToken, keepToken } from "../ask.js";
import { html, nothing, say } from "../dom.js";
import "./modal_box.js";

let open = null; // {what, busy, error, tokenWanted}

const set = (changes) => {
  open = changes && { ...open, ...changes };
  globalThis.bookrunner.redraw();
};

/**
 * Ask for confirmation.
 * @param {{title: string, body: () => unknown, action: string, doing: string, act: Function}} what
 *   body: what is said, and fields by name; act(FormData): makes the change, and returns what to say of it.
 */
export function confirm(what) {
  set({ what, busy: false, error: "", tokenWanted: false });
}

/** Make a change without asking; only what is refused opens the dialog, as where a token is needed. */
export async function attempt(what) {
  try {
    say(await what.act(new FormData()));
  } catch (error) {
    confirm(what);
    refused(error);
  }
}

function refused(error) {
  const tokenWanted = error.status === 401;
  if (tokenWanted) forgetToken();
  const gone = error instanceof TypeError ? "the gateway does not answer" : error.message;
  set({ busy: false, error: gone, tokenWanted });
}

async function submit(event) {
  event.preventDefault();
  const { what } = open;
  const form = new FormData(event.target);
  if (form.get("token")) keepToken(form.get("token"));
  set({ busy: true, error: "" });
  try {
    const words = await what.act(form);
    if (open?.what === what) event.target.closest("dialog").close(); // which gives the focus back
    say(words);
  } catch (error) {
    if (!open) confirm(what); // it was closed meanwhile, and nothing was changed
    if (open.what === what) refused(error);
  }
}

/** The dialog, where one is open; the bar draws it. */
export function confirmation() {
  if (!open) return nothing;
  const { what, busy, error, tokenWanted } = open;
  return html`<modal-box><dialog class="confirm" aria-labelledby="confirm-title" @close=${() => set(null)}>
    <form @submit=${submit}>
      <h2 id="confirm-title">${what.title}</h2>
      ${what.body()}
      ${tokenWanted && !hasToken()
        ? html`<label>Token of the gateway
            <input name="token" type="password" autocomplete="off" required pattern="[!-~]+"></label>`
        : nothing}
      ${error ? html`<p class="bad" role="alert">${error}</p>` : nothing}
      <p class="buttons">
        <button type="submit" class="danger" ?disabled=${busy}>${busy ? what.doing : what.action}</button>
        <button type="button" @click=${(event) => event.target.closest("dialog").close()}>${busy ? "Close" : "Change nothing"}</button>
      </p>
    </form>
  </dialog></modal-box>`;
}
