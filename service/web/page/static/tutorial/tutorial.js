// Puts the address of this server into the commands.
const server = document.querySelector(".home").href.replace(/\/$/, "");
for (const block of document.querySelectorAll(".language-sh, .language-text")) {
  block.textContent = block.textContent.replaceAll("http://127.0.0.1:8000", server);
}
