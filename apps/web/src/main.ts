import { App } from './page/app.js';
import { showError } from './ui/messages.js';

new App().start().catch(showError);

if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  // After the page itself: what it stores for later must not slow down what is wanted now.
  addEventListener('load', () => {
    navigator.serviceWorker.register('./sw.js').catch((error: unknown) => {
      console.warn('The page will need its server each time:', error);
    });
  });
}
