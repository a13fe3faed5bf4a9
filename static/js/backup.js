// Create a backup: what becomes of each volume is looked up as the page opens and as what decides it is changed. Without
// this, the button beside it does the same.

const form = document.querySelector("[data-backup-form]");
const DECIDES = ["known", "others", "include_disks", "cluster_resources"];
const PAUSE = 500; // milliseconds without another change
let timer;
let pending;

async function look() {
  pending?.abort();
  pending = new AbortController();
  const data = new FormData(form);
  data.set("do", "volumes");
  try {
    const options = { method: "POST", body: data, headers: { Live: "1" }, redirect: "manual", signal: pending.signal };
    const answer = await fetch(location.href, options);
    if (answer.ok) form.querySelector("[data-volumes]").innerHTML = await answer.text();
  } catch {
    // No connection, or another change came first: the button is still there.
  }
}

if (form) {
  form.addEventListener("change", ({ target }) => {
    if (!DECIDES.includes(target.name)) return;
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE);
  });
  form.querySelector("[data-look]").addEventListener("click", (event) => {
    event.preventDefault();
    look();
  });
  if (!form.querySelector("[data-volumes] live-fragment")) look();
}
