"""What people type: a file a command. The only room that prints and exits."""
