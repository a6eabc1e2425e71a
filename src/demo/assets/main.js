// The page: two people, a panel each, and who of them is being looked at.

import { Chat } from '/demo/chat.js';
import { Panel, avatar, badge } from '/demo/panel.js';

const PEOPLE = ['alice', 'bob'];
const narrow = matchMedia('(max-width: 819px)');
const stage = document.querySelector('#stage');
const tabs = document.querySelector('.tabs');

const screens = PEOPLE.map((id) => {
  const chat = new Chat(id);
  const panel = new Panel(chat, () => look(panel));
  const tab = document.querySelector('#t-tab').content.firstElementChild.cloneNode(true);
  tab.id = `tab-${id}`;
  tab.setAttribute('aria-controls', panel.root.id);
  panel.root.setAttribute('aria-labelledby', tab.id);
  tab.addEventListener('click', () => look(panel));
  tabs.append(tab);
  return { id, chat, panel, tab };
});

let looked = null;

/** On a narrow screen this panel is the one shown; anywhere, its messages count as read. */
function look(panel) {
  looked = panel;
  refresh();
}

function refresh() {
  const awake = document.visibilityState === 'visible';
  for (const { panel, tab } of screens) {
    const shown = panel === (looked ?? screens[0].panel);
    panel.root.classList.toggle('shown', shown);
    panel.root.classList.toggle('looked', panel === looked);
    tab.setAttribute('aria-selected', String(shown));
    tab.tabIndex = shown ? 0 : -1;
    panel.attend(awake && (panel === looked || (narrow.matches && shown)));
  }
}

function titles() {
  let all = 0;
  for (const { chat, tab } of screens) {
    avatar(tab.querySelector('.avatar'), chat.me);
    tab.querySelector('.tab-name').textContent = chat.me.name;
    badge(tab.querySelector('.badge'), chat.unread);
    all += chat.unread;
  }
  document.title = all ? `(${all}) Porchlight demo` : 'Porchlight demo';
}

tabs.addEventListener('keydown', (event) => {
  if (!['ArrowLeft', 'ArrowRight'].includes(event.key)) return;
  const other = screens.find(({ panel }) => panel !== looked && !panel.root.classList.contains('shown'));
  look(other.panel);
  other.tab.focus();
});
narrow.addEventListener('change', refresh);
document.addEventListener('visibilitychange', refresh);

// Below the on-screen keyboard of a phone there is nothing to see.
visualViewport?.addEventListener('resize', () =>
  document.documentElement.style.setProperty('--height', `${visualViewport.height}px`),
);

/** Starts one side after the other: the first to come opens the conversation. */
async function begin() {
  for (const { chat, panel } of screens) {
    if (panel.root.isConnected) continue;
    await chat.start();
    chat.addEventListener('change', titles);
    stage.append(panel.root);
    panel.draw();
    titles();
  }
  refresh();
}

const notice = document.querySelector('#notice');
(async function tryToBegin() {
  try {
    await begin();
    notice.hidden = true;
  } catch (error) {
    notice.textContent = `The demo cannot start: ${error.message}. Trying again…`;
    notice.hidden = false;
    setTimeout(tryToBegin, 2000);
  }
})();
