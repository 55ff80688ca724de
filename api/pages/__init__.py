"""The pages people see: server-rendered, usable without JavaScript."""
