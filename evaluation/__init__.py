"""How good is it: offline evaluation on files and on what people granted for `measure`."""
