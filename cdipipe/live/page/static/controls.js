// What a person may ask of the run. The run decides: the page shows what it says was asked for last.

const ECHO_MS = 1500; // after which the run has told what was asked for
const byId = (id) => document.getElementById(id);

export class Controls {
  /** `say` sends a wish, and is false where nobody hears it. */
  constructor(say) {
    this.say = say;
    this.isEdited = false;
    this.methods = "";
    this.askedMs = 0;
    byId("pause").addEventListener("click", () => this.ask({ do: "pause", is_paused: byId("pause").getAttribute("aria-pressed") !== "true" }));
    byId("method").addEventListener("change", () => this.ask({ do: "method", method: byId("method").value }));
    byId("threshold").addEventListener("input", () => {
      this.isEdited = true;
      byId("every").checked = false;
    });
    byId("every").addEventListener("change", () => {
      if (byId("every").checked) this.askThreshold(null);
      else {
        this.isEdited = true;
        byId("threshold").focus();
      }
    });
    byId("controls").addEventListener("submit", (event) => {
      event.preventDefault();
      const value = byId("threshold").valueAsNumber;
      if (byId("every").checked) this.askThreshold(null);
      else if (Number.isFinite(value)) this.askThreshold(value);
      else this.answer("give a number, or choose every frame", true);
    });
  }

  ask(wish) {
    this.answer("");
    this.askedMs = Date.now();
    if (!this.say(wish)) this.answer("not connected: nothing was changed", true);
  }

  askThreshold(value) {
    this.isEdited = false;
    this.ask({ do: "threshold", hit_threshold: value });
  }

  answer(text, isBad = false) {
    byId("answer").textContent = text;
    byId("answer").classList.toggle("bad", isBad);
  }

  allow(isAllowed) {
    for (const element of byId("controls").elements) if (element.tagName !== "FIELDSET") element.disabled = !isAllowed;
  }

  show({ methods, method, wanted, state }) {
    const isPaused = wanted.is_paused;
    byId("pause").setAttribute("aria-pressed", String(isPaused));
    byId("pause").textContent = isPaused ? "Go on" : "Pause";
    if (this.methods !== methods.join()) {
      this.methods = methods.join();
      byId("method").replaceChildren(...methods.map((name) => new Option(name, name)));
    }
    if (Date.now() - this.askedMs > ECHO_MS) byId("method").value = wanted.method;
    if (!this.isEdited && document.activeElement !== byId("threshold")) {
      byId("threshold").value = wanted.hit_threshold ?? "";
      byId("every").checked = wanted.hit_threshold === null;
    }
    const isChanging = wanted.method !== method && state !== "ended";
    if (isChanging) this.answer(`changing to ${wanted.method} ...`);
    else if (byId("answer").textContent.startsWith("changing")) this.answer("");
  }
}
