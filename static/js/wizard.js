// What is typed into a wizard's step is saved as soon as a field is left: an expired session or a closed tab loses
// nothing. Files go with the form itself.
for (const form of document.querySelectorAll("form[data-autosave]")) {
  let pending = Promise.resolve();
  form.addEventListener("change", (event) => {
    if (event.target.type !== "file") pending = pending.then(save).catch(() => {}); // sending the form saves it again
  });

  async function save() {
    const data = new FormData(form);
    for (const [name, value] of [...data]) if (value instanceof File) data.delete(name);
    const token = /(?:^|;\s*)csrftoken=([^;]+)/.exec(document.cookie)?.[1];
    if (token) data.set("csrfmiddlewaretoken", token);
    data.set("go", "save");
    await fetch(location.href, { method: "POST", body: data, redirect: "manual", keepalive: true });
  }
}
