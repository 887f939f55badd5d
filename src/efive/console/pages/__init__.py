"""The console's pages, a file each; `efive.console.mount` imports them all."""
