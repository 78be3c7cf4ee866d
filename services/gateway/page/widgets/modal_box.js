// A dialog that is open for as long as it is drawn: `<modal-box><dialog …>…</dialog></modal-box>`.

customElements.define(
  "modal-box",
  class extends HTMLElement {
    connectedCallback() {
      const dialog = this.querySelector("dialog");
      if (!dialog.open) dialog.showModal();
      this.addEventListener("click", (event) => event.target === dialog && dialog.close());
    }
  },
);

/** What stands here is scrolled to when it comes. */
customElements.define(
  "in-view",
  class extends HTMLElement {
    connectedCallback() {
      this.scrollIntoView({ block: "center" });
    }
  },
);
