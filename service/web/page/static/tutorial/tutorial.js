// Puts the address of this server into the blocks, and a button that copies beside each script.
const server = document.querySelector(".home").href.replace(/\/$/, "");
for (const block of document.querySelectorAll(".language-sh, .language-text")) {
  block.textContent = block.textContent.replaceAll("http://127.0.0.1:8000", server);
  // Browsers let a page write to the clipboard over HTTPS and on this machine only.
  if (!navigator.clipboard || !block.matches(".language-sh")) continue;
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.textContent);
    button.textContent = "Copied";
  });
  block.after(button);
}
