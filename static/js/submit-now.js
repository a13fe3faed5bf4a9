// A page that only waits for one click: with scripts on, the click is made for the person.
document.querySelector("form[data-submit-now]")?.requestSubmit();
