// A backup policy: the next runs follow what is chosen. Without this, the button beside them does the same.

const form = document.querySelector("[data-policy-form]");
const DECIDES = ["timing", "time_zone", "first_day", "month", "day", "hour", "minute"];
const PAUSE = 200; // milliseconds without another change
let timer;
let pending;

async function show() {
  pending?.abort();
  pending = new AbortController();
  const data = new FormData(form);
  data.set("do", "runs");
  try {
    const options = { method: "POST", body: data, headers: { Live: "1" }, redirect: "manual", signal: pending.signal };
    const answer = await fetch(location.href, options);
    if (answer.ok) form.querySelector("[data-runs]").innerHTML = await answer.text();
  } catch {
    // No connection, or another change came first: the button is still there.
  }
}

if (form) {
  form.addEventListener("change", ({ target }) => {
    if (!DECIDES.includes(target.name)) return;
    clearTimeout(timer);
    timer = setTimeout(show, PAUSE);
  });
  form.querySelector("[data-show-runs]").addEventListener("click", (event) => {
    event.preventDefault();
    show();
  });
}
