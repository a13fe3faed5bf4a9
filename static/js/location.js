// Add a New Backup location. The form works without this; here line and fields stay in step while one types, the help
// beside the form shows what was typed, and Save waits for another validation once something was changed.

const form = document.querySelector("[data-location-form]");
const field = (name) => form.elements.namedItem(name);
const NAMES = { region: "region", s3forcepathstyle: "path_style", s3url: "s3_url" };
const WITHOUT_REGIONS = "us-east-1";
const provider = () => form.querySelector("[name=provider]:checked, [name=provider][type=hidden]")?.value;

// Configuration: one line and three fields. backups/configuration.py reads and writes the same.
function writeLine() {
  const url = field("s3_url").value.trim().replace(/\/+$/, "");
  field("configuration").value = `region=${field("region").value.trim()},s3ForcePathStyle=${field("path_style").checked},s3Url=${url}`;
}

function readLine() {
  for (const part of field("configuration").value.split(",")) {
    const [, name, value] = /^\s*(\w+)\s*=\s*(.*?)\s*$/.exec(part) ?? [];
    const target = NAMES[name?.toLowerCase()];
    if (target === "path_style" && /^(true|false)$/i.test(value)) field(target).checked = value.toLowerCase() === "true";
    else if (target && target !== "path_style") field(target).value = value;
  }
}

// Choosing a card presets what the person has not chosen otherwise.
let touched = Boolean(field("s3_url").value || field("region").value || field("path_style").checked);
function preset() {
  if (touched) return;
  const own = provider() === "s3";
  field("path_style").checked = own;
  field("region").value = own ? WITHOUT_REGIONS : "";
  writeLine();
}

// Values in the help. The policy is JSON, the commands are for a shell: each is quoted for its place.
const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);

const json = (text) => JSON.stringify(text).slice(1, -1);
const typed = (name) => field(name).value.trim();

function partition(role, region) {
  const said = /^arn:(aws|aws-cn|aws-us-gov):/.exec(role)?.[1];
  return said ?? (region.startsWith("cn-") ? "aws-cn" : region.startsWith("us-gov-") ? "aws-us-gov" : "aws");
}

// The service account's address is in the key file; once it is sent, the page itself says it (data-email).
function serviceAccount() {
  try {
    return JSON.parse(typed("service_account")).client_email || form.dataset.email;
  } catch {
    return form.dataset.email;
  }
}

function texts() {
  const [bucket, url, region] = [typed("bucket") || "BUCKET", typed("s3_url"), typed("region")];
  const folder = `${bucket}/${typed("prefix").replace(/^\/+|\/+$/g, "")}/`;
  const [role, externalId] = [typed("role_arn") || "ROLE-ARN", typed("external_id") || "EXTERNAL-ID"];
  const email = serviceAccount() || "SERVICE-ACCOUNT-EMAIL";
  return {
    bucket: json(bucket),
    folder: shell(folder),
    gs_folder: shell(`gs://${folder}`),
    gs_bucket: shell(`gs://${bucket}`),
    region: shell(region || "REGION"),
    endpoint: url && ` \\\n  --endpoint-url ${shell(url)}`,
    alias_url: shell(url || "https://s3.amazonaws.com"),
    role: shell(role),
    role_json: json(role),
    external_id: shell(externalId),
    external_id_json: json(externalId),
    account: json(typed("account").replace(/[-\s]/g, "") || "ACCOUNT-ID"),
    partition: partition(role, region),
    member: shell(`serviceAccount:${email}`),
    email: shell(email),
  };
}

function showHelp() {
  const shown = texts();
  for (const place of document.querySelectorAll("[data-fill]")) place.textContent = shown[place.dataset.fill];
}

// What was validated is what is saved; the name alone may change afterwards.
let edited = false;
function showEdited() {
  for (const note of document.querySelectorAll("[data-edited]")) note.hidden = !(edited && document.querySelector("[data-save]"));
  for (const button of document.querySelectorAll("[data-save]")) button.disabled = edited;
}

form.addEventListener("input", ({ target }) => {
  if (target.name === "configuration") readLine();
  if (["region", "s3_url", "path_style"].includes(target.name)) writeLine();
  if (["region", "s3_url", "path_style", "configuration"].includes(target.name)) touched = true;
  if (target.name === "provider") preset();
  if (!["name", "account"].includes(target.name)) edited = true;
  showHelp();
  showEdited();
});
document.addEventListener("live:updated", showEdited);

// What is typed is kept as fields are left: a closed tab or an expired session loses nothing. Files go with the form.
let pending = Promise.resolve();
form.addEventListener("change", ({ target }) => {
  if (target.type !== "file") pending = pending.then(keep).catch(() => {});
});

async function keep() {
  const data = new FormData(form);
  for (const file of ["certificate_file", "service_account_file"]) data.delete(file);
  data.set("do", "keep");
  const token = /(?:^|;\s*)csrftoken=([^;]+)/.exec(document.cookie)?.[1]; // signing in elsewhere changes it
  if (token) data.set("csrfmiddlewaretoken", token);
  const answer = await fetch(form.action, { method: "POST", body: data, redirect: "manual" });
  const draft = answer.ok && answer.headers.get("Draft-Location");
  if (!draft) return;
  form.action = draft;
  if (new URL(location.href).pathname !== draft) history.replaceState(null, "", draft);
}

if (!field("configuration").value) writeLine();
showHelp();
