# Modules of the gallery are put into the folder Modules when the app is packaged: Flex Consumption installs none.
@{
}
