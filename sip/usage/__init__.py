"""What is done with the requests of a method: a file a method, or methods that belong together; `table` lists them (pure).

usage         what a usage is, and all that it may bring
table         the usages there are; Allow, Supported, Allow-Events and Accept are made from it, and so are 405, 420 and 489
invite        INVITE outside of dialogs, ACK, CANCEL, BYE        reinvite      INVITE within a dialog
options       OPTIONS, asked and answered                        info          INFO with keys (RFC 6086, legacy usage)
register      REGISTER at our registrar                          refer         REFER and the subscription it makes (RFC 3515)
subscription  NOTIFY, handed on by its event package             talk          the package `talk` of desk phones
"""
