"use strict";

const $ = (id) => document.getElementById(id);
const said = new Map(); // offset: line
const typing = new Map(); // name: timer
let client = null;

function state(text, away = false) {
  $("state").textContent = text;
  $("state").classList.toggle("away", away);
}

/** One message, in its place: history and news may overlap. */
function show({ offset, name, text, at }) {
  if (said.has(offset)) return;
  const line = document.createElement("li");
  const who = line.appendChild(document.createElement("b"));
  who.textContent = name;
  line.append(` ${text}`);
  const when = line.appendChild(document.createElement("time"));
  when.textContent = new Date(at * 1000).toLocaleTimeString();
  const next = [...said.keys()].filter((each) => each > offset).sort((a, b) => a - b)[0];
  $("said").insertBefore(line, said.get(next) ?? null);
  said.set(offset, line);
  line.scrollIntoView();
}

function showHere(people) {
  const lines = people.map(({ user, name }) => {
    const line = document.createElement("li");
    line.dataset.user = user;
    line.textContent = name;
    return line;
  });
  $("here").replaceChildren(...lines);
}

function showTyping() {
  const names = [...typing.keys()];
  $("typing").textContent = names.length ? `${names.join(", ")} ${names.length > 1 ? "are" : "is"} typing` : "";
}

function enter(name, room) {
  $("door").hidden = true;
  $("room").hidden = false;
  $("title").textContent = room;
  state("connecting");
  client = new Greenimi("/chat", { storage: sessionStorage });

  client.on("open", async ({ restored, again }) => {
    if (restored && again) {
      showHere(await client.call("here")); // what was said meanwhile comes by itself
    } else {
      const found = await client.call("enter", { name, room });
      found.said.forEach(show);
      showHere(found.here);
    }
    state("connected");
  });
  client.on("lost", ({ delay }) => state(`connection lost, next attempt in ${delay.toFixed(1)} s`, true));
  client.on("closed", ({ code, reason }) => state(`closed: ${reason || code}`, true));
  client.on("gap", () => state("some messages are lost: load the page again", true));
  client.on("error", (error) => state(error.message, true));
  client.on("said", (words, { offset }) => {
    clearTimeout(typing.get(words.name));
    typing.delete(words.name);
    showTyping();
    show({ offset, ...words });
  });
  client.on("typing", ({ name }) => {
    clearTimeout(typing.get(name));
    typing.set(name, setTimeout(() => { typing.delete(name); showTyping(); }, 3000));
    showTyping();
  });
  client.on("$join", ({ user, info }) => {
    const known = [...$("here").children].some((line) => line.dataset.user === user);
    if (!known) showHere([...[...$("here").children].map((line) => ({ user: line.dataset.user, name: line.textContent })), { user, name: info.name }]);
  });
  client.on("$leave", ({ user }) => [...$("here").children].find((line) => line.dataset.user === user)?.remove());
}

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  const { name, room } = Object.fromEntries(new FormData(event.target));
  sessionStorage.setItem("chat", JSON.stringify({ name, room }));
  enter(name, room);
});

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = event.target.elements.text;
  const text = input.value.trim();
  if (!text) return;
  client.call("say", { text }).then(
    () => { if (input.value.trim() === text) input.value = ""; },
    (error) => state(`not sent: ${error.message}`, true),
  );
});

let told = 0;
$("say").addEventListener("input", () => {
  if (Date.now() - told > 2000 && client.send("typing")) told = Date.now();
});

const before = JSON.parse(sessionStorage.getItem("chat") ?? "null");
if (before) enter(before.name, before.room); // the page was loaded anew
